"""The service: takes booking holds, one occurrence after another, and never oversells."""
