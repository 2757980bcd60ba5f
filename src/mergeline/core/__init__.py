"""Pure decisions: frozen dataclasses in, frozen dataclasses out."""
