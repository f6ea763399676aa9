#!/bin/sh
# Installs Debian's Chromium for the browser tests when it is absent. Never fails: without it those tests are skipped.
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || [ -n "$MIMO_CHROMIUM" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium for the browser tests"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } \
        >/dev/null 2>&1 && exit 0
fi
echo "no chromium (apt-get install chromium): the browser tests will be skipped"
exit 0
