"""What tests of faults share: a server that may be killed, clients that remember what was acknowledged, a failing network."""
