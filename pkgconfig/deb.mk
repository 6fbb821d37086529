# Packages that the tools of other systems make, from the folders of pkgconfig/.

.PHONY: deb check-deb check-recipes

# build/deb/*.deb
deb:
	@.ci/deps deb
	@pkgconfig/deb

check-deb: deb
	@.ci/deps packages
	@tests/packages/deb

# RPM, Conan, vcpkg and Nix, as far as their tools are on this system.
check-recipes:
	@.ci/deps packages
	@tests/packages/recipes
