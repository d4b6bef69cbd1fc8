"""The bastion: who may reach what, and the SSH doors that hold it. Knows no command line."""
