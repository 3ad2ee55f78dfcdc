"""Where Foreshock plugs into training frameworks: one module each, imported when it is asked for."""
