"""Who may sign: the ceremony, keys that change hands, keys that were lost or stolen."""
