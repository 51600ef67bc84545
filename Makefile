# Two commands do everything on a fresh Debian with Rust and gcc: make demo, make check.

CARGO ?= cargo
# Most tests wait for something most of their time: more of them than cores run at once.
TESTS = RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} $(CARGO) test --locked --no-fail-fast
# What a build with camera and window needs: bindgen's libclang for V4L2, SDL2's headers for the window, OpenSSL's for tls.
BUILD_PACKAGES = libclang1-14 pkg-config libsdl2-dev libssl-dev
# What the tests hold vstream against: ffmpeg's readers and writers, a screen without a monitor, a small disk.
TEST_PACKAGES = openssl ffmpeg libjpeg-turbo-progs xvfb xauth xdotool x11-utils jwm imagemagick
# A browser for the pages, and Prometheus' own reader of its format.
TEST_PACKAGES += chromium curl python3-prometheus-client
# netem's tables of delays, for shape's.
TEST_PACKAGES += iproute2
# rustfmt does not follow modules that a macro declares.
LISTED = $(filter-out src/transports/mod.rs,$(wildcard src/transports/*.rs))

.PHONY: help demo check build test fmt docs bench fuzz build-packages test-packages

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: build-packages ## moving pictures through a real sender and receiver, no camera needed
	$(CARGO) build --release --locked
	./examples/demo.sh target/release/vstream

check: build-packages test-packages ## all that must pass: format, lints, tests, generated files
	$(CARGO) fmt --check
	rustfmt --edition 2024 --check $(LISTED)
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	$(TESTS)

build: build-packages ## the release binary: target/release/vstream
	$(CARGO) build --release --locked

test:            ## the tests alone
	$(TESTS)

fmt:             ## format everything
	$(CARGO) fmt
	rustfmt --edition 2024 $(LISTED)

docs:            ## manual pages, completions and the README's tables, from the program's own definitions
	UPDATE=1 $(CARGO) test --locked --test docs

bench:           ## the figures of the README, each beside a peer in the same run
	./benches/run.sh

fuzz:            ## each parser for a minute (needs cargo-fuzz)
	./fuzz/run.sh 60

build-packages:
	@./.ci/packages $(BUILD_PACKAGES)

test-packages:
	@./.ci/packages $(TEST_PACKAGES)
	@# Toxiproxy's clients, which the API of shape is held against; Python and Node may have come from elsewhere than Debian.
	@python3 -m pip --version >/dev/null 2>&1 || ./.ci/packages python3 python3-pip
	@npm --version >/dev/null 2>&1 || ./.ci/packages nodejs npm
	@[ -d target/clients/python ] || python3 -m pip install -q --target target/clients/python toxiproxy-python==0.1.1
	@# OpenCV, which reads a hub's streams as cameras.
	@[ -d target/clients/opencv ] || python3 -m pip install -q --target target/clients/opencv opencv-python-headless==4.10.0.84
	@[ -d target/clients/node_modules ] || npm install --silent --no-audit --no-fund --prefix target/clients toxiproxy-node-client@4.1.0
