"""The seconds of a run by activity, which show its bottleneck."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class Spending:
    """The seconds of a run, all in this process, by activity.

    loading:     listing images, loading networks and recording their forwards
    images:      waiting for images that worker processes decode
    networks:    the networks' forwards over the images
    statistics:  updating statistics with activations
    passes:      further passes: noisy and distorted images, dissection, attacks, ablation
    writing:     merging and writing
    """

    loading: float = 0.0
    images: float = 0.0
    networks: float = 0.0
    statistics: float = 0.0
    passes: float = 0.0
    writing: float = 0.0

    def text(self) -> str:
        """Return a line of text, the largest share first."""
        named = {
            "loading": self.loading,
            "waiting for images": self.images,
            "networks": self.networks,
            "statistics": self.statistics,
            "further passes": self.passes,
            "merging and writing": self.writing,
        }
        largest = sorted(named.items(), key=lambda item: -item[1])
        shares = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in largest if seconds >= 0.05)
        return f"time: {shares}" if shares else "time: less than 0.1 s"
