# Packages for other systems' tools, from the folders of pkgconfig/.

.PHONY: deb

# build/deb/*.deb
deb:
	@.ci/deps deb
	@pkgconfig/deb
