"""The command line, `bastion-admin`: says things to people and leaves the deciding to bastion."""
