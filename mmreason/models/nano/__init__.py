"""The packaged weights of nano, loadable like any hub model. Made by `mmreason train nano`."""
