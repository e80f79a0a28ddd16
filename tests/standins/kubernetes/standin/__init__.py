"""What the stand-ins of a cluster's programs share; strict, and with no path of the machine that they are made on."""
