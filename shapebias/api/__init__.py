"""What Python programs use. `shapebias/__init__.py` names it; the modules here may change."""
