"""The objects that Python programs use. `shapebias/__init__.py` names them; the modules here may change."""
