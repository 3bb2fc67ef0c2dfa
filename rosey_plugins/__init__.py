"""The bundled plugins. They import `rosey_core.api` and nothing else of rosey, as any plugin does."""
