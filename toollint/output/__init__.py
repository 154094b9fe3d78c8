"""How findings are printed: one module a format, findings in and text out."""
