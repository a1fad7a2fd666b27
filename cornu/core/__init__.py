"""What every floor above the engines is made of: dtypes, variables, scopes, the op mechanism."""
