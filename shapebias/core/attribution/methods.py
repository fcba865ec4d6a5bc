"""The one registry of attribution methods and controls."""

from collections.abc import Mapping

from shapebias.core.attribution.method import REFERENCE_SIDE, Cost, Method, Setting, Value, patches_along, pixels
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

GRADIENT, PERTURBATION, CAM, CONTROL = FAMILIES = ("gradient", "perturbation", "cam", "control")
LOGIT, PROBABILITY = SCORES = ("logit", "probability")
BLACK, GREY, RANDOM = BASELINES = ("black", "grey", "random")
CIRCLES = 20  # number of discs that Meaningful Perturbation tries as its first mask
_FONG = "Fong & Vedaldi 2017"


def _samples(default: int, about: str, source: str, low: int = 1, high: int = 100_000) -> Setting:
    return Setting(name="samples", default=default, low=low, high=high, about=about, source=source)


def _baseline(default: str, source: str, words: tuple[str, ...] = BASELINES) -> Setting:
    about = "the baseline image: black, grey (0.5), or uniform noise drawn for the image"
    if "mean" in words:
        about += "; mean: the mean colour of each superpixel"
    return Setting(name="baseline", default=default, words=words, about=about, source=source)


def _score_setting(source: str) -> Setting:
    about = "the score that is explained: the class's logit, or its softmax probability"
    return Setting(name="of", default=PROBABILITY, words=SCORES, about=about, source=source)


def _of_samples(settings: Mapping[str, Value], size: int) -> Cost:
    return Cost(int(settings["samples"]), int(settings["samples"]))


def _cost_of_one(settings: Mapping[str, Value], size: int) -> Cost:
    return Cost(1, 1)


def _cost_of_none(settings: Mapping[str, Value], size: int) -> Cost:
    return Cost(0)


def _of_occlusion(settings: Mapping[str, Value], size: int) -> Cost:
    patch, stride = (pixels(float(settings[name]), size) for name in ("patch", "stride"))
    return Cost(1 + patches_along(size, patch, stride) ** 2)


def _of_integration(settings: Mapping[str, Value], size: int) -> Cost:
    """Return the cost of Integrated Gradients: its steps, and the image and the baseline for the completeness gap."""
    return Cost(int(settings["steps"]) + 2, int(settings["steps"]))


def _of_gradient_shap(settings: Mapping[str, Value], size: int) -> Cost:
    """Return the cost of GradientSHAP: its samples, and the image and the baselines for the completeness gap."""
    return Cost(int(settings["samples"]) + 1 + _shap_baselines(settings), int(settings["samples"]))


def _of_deeplift(settings: Mapping[str, Value], size: int) -> Cost:
    """Return the cost of DeepLIFT: for each baseline, the image and the baseline go through the network together."""
    return Cost(2 * _shap_baselines(settings), 2 * _shap_baselines(settings))


def _shap_baselines(settings: Mapping[str, Value]) -> int:
    return int(settings["baselines"]) if settings["baseline"] == RANDOM else 1


_BASELINES_OF_SHAP = Setting(
    name="baselines",
    default=10,
    low=1,
    high=10_000,
    about="number of baselines where they are random; otherwise there is one",
    source="captum asks for more than one",
)


_ALL = (
    Method(
        name="gradient",
        title="Gradient",
        family=GRADIENT,
        signed=True,
        sensitivity=True,
        formula="dS/dx",
        source="Simonyan, Vedaldi & Zisserman 2014 (arXiv 1312.6034), with its sign",
        forwards_and_backwards=_cost_of_one,
    ),
    Method(
        name="input-x-gradient",
        title="Input x Gradient",
        family=GRADIENT,
        signed=True,
        formula="x * dS/dx",
        source="Shrikumar et al. 2016 (arXiv 1605.01713)",
        forwards_and_backwards=_cost_of_one,
    ),
    Method(
        name="smoothgrad",
        title="SmoothGrad",
        family=GRADIENT,
        signed=True,
        sensitivity=True,
        formula="mean over samples of dS/dx at x + sigma * (standard normal noise)",
        source="Smilkov et al. 2017 (arXiv 1706.03825)",
        settings=(
            _samples(50, "number of noisy images", "Smilkov et al. 2017: little changes beyond 50"),
            Setting(
                name="sigma",
                default=0.15,
                low=0.0,
                high=10.0,
                about="the noise's standard deviation, for pixels in [0, 1]",
                source="Smilkov et al. 2017: 10 % to 20 % of the input's range",
            ),
        ),
        forwards_and_backwards=_of_samples,
    ),
    Method(
        name="integrated-gradients",
        title="Integrated Gradients",
        family=GRADIENT,
        signed=True,
        formula="(x - b) * (integral over t from 0 to 1 of dS/dx at b + t (x - b))",
        source="Sundararajan, Taly & Yan 2017 (arXiv 1703.01365)",
        settings=(
            Setting(
                name="steps",
                default=50,
                low=2,
                high=100_000,
                about="points on the way from baseline to image, both ends among them",
                source="captum's default; Sundararajan et al. 2017: 20 to 300",
            ),
            Setting(
                name="rule",
                default="trapezoid",
                words=("trapezoid", "gauss-legendre"),
                about="positions and weights of the points",
                source="trapezoid: even steps, both ends counted; gauss-legendre: captum's default",
            ),
            _baseline(BLACK, "Sundararajan et al. 2017: the black image"),
        ),
        forwards_and_backwards=_of_integration,
    ),
    Method(
        name="gradient-shap",
        title="GradientSHAP",
        family=GRADIENT,
        signed=True,
        formula="mean over samples of (x - b) * dS/dx at b + t (x - b), t uniform in [0, 1]",
        source="expected gradients: Erion et al. 2021 (arXiv 1906.10670); Lundberg & Lee 2017 (arXiv 1705.07874)",
        settings=(
            _samples(50, "number of draws of t", "as SmoothGrad's"),
            _baseline(RANDOM, "SHAP asks for a distribution"),
            _BASELINES_OF_SHAP,
        ),
        forwards_and_backwards=_of_gradient_shap,
    ),
    Method(
        name="deeplift-shap",
        title="DeepLIFT-SHAP",
        family=GRADIENT,
        signed=True,
        formula="mean over baselines of (x - b) * m, m from S to x by the chain rule with (g(u) - g(v)) / (u - v) for "
        "the slope of a nonlinearity g at u (of x) and v (of b)",
        source="Rescale rule: Shrikumar, Greenside & Kundaje 2017 (arXiv 1704.02685); Lundberg & Lee 2017",
        settings=(
            _baseline(RANDOM, "SHAP asks for a distribution"),
            _BASELINES_OF_SHAP,
        ),
        forwards_and_backwards=_of_deeplift,
    ),
    Method(
        name="occlusion",
        title="Occlusion",
        family=PERTURBATION,
        signed=True,
        formula="mean, over the patches that cover p, of f(x) - f(x with the patch replaced by b)",
        source="Zeiler & Fergus 2014 (arXiv 1311.2901)",
        settings=(
            Setting(
                name="patch",
                default=35,
                low=1,
                high=REFERENCE_SIDE,
                about="side of the patch, px of 224",
                source="a sixth of the image (Zeiler & Fergus 2014 name no size)",
            ),
            Setting(
                name="stride",
                default=7,
                low=1,
                high=REFERENCE_SIDE,
                about="distance between patches, px of 224",
                source="a fifth of the patch",
            ),
            _baseline(GREY, "Zeiler & Fergus 2014: a grey square"),
            _score_setting("Zeiler & Fergus 2014: the probability of the class"),
        ),
        forwards_and_backwards=_of_occlusion,
    ),
    Method(
        name="lime",
        title="LIME",
        family=PERTURBATION,
        signed=True,
        formula="coefficients of a ridge regression of f on which superpixels are shown (the others replaced by b), "
        "samples weighted by exp(-d^2 / (2 width^2)), d their cosine distance from the whole image",
        source="Ribeiro, Singh & Guestrin 2016 (arXiv 1602.04938), and its authors' lime_image",
        settings=(
            _samples(1000, "number of images with superpixels left out", "the authors' lime_image", low=2),
            Setting(
                name="segments",
                default="slic",
                words=("slic", "quickshift", "grid"),
                about="how the image is cut into superpixels: by scikit-image, or into squares (grid)",
                source="Agarwal & Nguyen 2020 (arXiv 1910.04256): SLIC",
            ),
            Setting(
                name="superpixels",
                default=50,
                low=2,
                high=10_000,
                about="approximate number of superpixels; quickshift chooses its own number",
                source="Agarwal & Nguyen 2020",
            ),
            Setting(
                name="width",
                default=0.25,
                low=1e-3,
                high=1e3,
                about="width of the kernel",
                source="the authors' lime_image",
            ),
            Setting(
                name="ridge",
                default=1.0,
                low=0.0,
                high=1e6,
                about="penalty on the squared coefficients",
                source="the authors' lime_base",
            ),
            _baseline("mean", "the authors' lime_image", words=("mean", *BASELINES)),
            _score_setting("Ribeiro et al. 2016: the probability of the class"),
        ),
        forwards_and_backwards=lambda settings, _: Cost(int(settings["samples"])),
    ),
    Method(
        name="mp",
        title="Meaningful Perturbation",
        family=PERTURBATION,
        signed=False,
        formula="1 - m, m in [0, 1] the mask that minimises f(m x + (1 - m) (x blurred)) + area * sum of |1 - m| + "
        "variation * sum of |gradient of m|^beta, by Adam",
        source="Fong & Vedaldi 2017 (arXiv 1704.03296)",
        settings=(
            Setting(name="steps", default=300, low=1, high=10_000, about="number of steps of Adam", source=_FONG),
            Setting(
                name="learning-rate",
                default=0.1,
                low=1e-6,
                high=10.0,
                about="learning rate of Adam; m stays in [0, 1]",
                source=_FONG,
            ),
            Setting(name="blur", default=10.0, low=0.1, high=100.0, about="sigma of the blur, px of 224", source=_FONG),
            Setting(name="area", default=1e-4, low=0.0, high=1e3, about="penalty for each hidden cell", source=_FONG),
            Setting(
                name="variation", default=1e-2, low=0.0, high=1e3, about="penalty for edges in the mask", source=_FONG
            ),
            Setting(name="beta", default=3.0, low=1.0, high=10.0, about="power of the mask's gradient", source=_FONG),
            Setting(name="cells", default=28, low=2, high=224, about="cells on each side of the mask", source=_FONG),
            Setting(
                name="smooth",
                default=5.0,
                low=0.1,
                high=50.0,
                about="sigma by which the mask is blurred, px of 224",
                source=_FONG,
            ),
            Setting(
                name="jitter",
                default=4,
                low=1,
                high=32,
                about="each step moves the image by less than this many px of 224",
                source=_FONG,
            ),
            _score_setting("Fong & Vedaldi 2017: the probability of the class"),
        ),
        forwards_and_backwards=lambda settings, _: Cost(int(settings["steps"]) + CIRCLES + 2, int(settings["steps"])),
    ),
    Method(
        name="rise",
        title="RISE",
        family=PERTURBATION,
        signed=False,
        formula="1 / (masks * p) * (sum over random masks M in [0, 1] of f(M x + (1 - M) b) M(p))",
        source="Petsiuk, Das & Saenko 2018 (arXiv 1806.07421)",
        settings=(
            Setting(
                name="masks",
                default=2000,
                low=1,
                high=100_000,
                about="number of random masks",
                source="a quarter of Petsiuk et al. 2018 (8000 for ResNet-50, 4000 for VGG-16)",
            ),
            Setting(
                name="grid",
                default=7,
                low=1,
                high=64,
                about="cells on each side of the coarse mask; it is enlarged bilinearly and moved by less than a cell",
                source="Petsiuk et al. 2018 (8 in its authors' code)",
            ),
            Setting(
                name="p",
                default=0.5,
                low=0.001,
                high=0.999,
                about="the chance that a cell is shown",
                source="Petsiuk et al. 2018 (0.1 in its authors' code)",
            ),
            _baseline(BLACK, "Petsiuk et al. 2018: the image times the mask"),
            _score_setting("Petsiuk et al. 2018: the probability of the class"),
        ),
        forwards_and_backwards=lambda settings, _: Cost(int(settings["masks"])),
    ),
    Method(
        name="cam",
        title="CAM",
        family=CAM,
        signed=True,
        formula="sum over channels k of w[k] A[k, p], A the last map, w the class's weights behind global average "
        "pooling",
        source="Zhou et al. 2016 (arXiv 1512.04150)",
        forwards_and_backwards=_cost_of_one,
    ),
    Method(
        name="grad-cam",
        title="Grad-CAM",
        family=CAM,
        signed=False,
        formula="max(0, sum over channels k of a[k] A[k, p]), A the last map, a[k] the mean of dS/dA[k] over positions",
        source="Selvaraju et al. 2017 (arXiv 1610.02391)",
        forwards_and_backwards=_cost_of_one,
    ),
    Method(
        name="random",
        title="Random",
        family=CONTROL,
        signed=False,
        formula="uniform noise in [0, 1), drawn for the image",
        source="the floor of every table",
        forwards_and_backwards=_cost_of_none,
    ),
    Method(
        name="center",
        title="Centre",
        family=CONTROL,
        signed=False,
        formula="1 - (distance of p from the centre) / (distance of the corners)",
        source="photographers' bias: objects are in the middle",
        forwards_and_backwards=_cost_of_none,
    ),
    Method(
        name="edges",
        title="Edges",
        family=CONTROL,
        signed=False,
        formula="magnitude of the Sobel gradient of the grey image",
        source="Adebayo et al. 2018 (arXiv 1810.03292): saliency maps resemble edge detectors",
        forwards_and_backwards=_cost_of_none,
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def find_method(name: str) -> Method:
    """Return the method with this name. Raises UsageError where there is none."""
    if name not in METHODS:
        raise UsageError(f"no attribution method {printable(name, 60)}: there are {', '.join(METHODS)}, or all")
    return METHODS[name]
