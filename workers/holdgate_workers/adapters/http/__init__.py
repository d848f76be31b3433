"""HTTP as a careful client: one hardened client, one way to read what came back, one way to sign."""
