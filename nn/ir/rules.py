"""How a rule of the graph is stated where it is checked."""


def need(condition: bool, rule: str) -> None:
    """Raise ValueError with the rule where it is broken."""
    if not condition:
        raise ValueError(rule)
