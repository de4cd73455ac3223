#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_neighbour.sh once more, as an ordinary user who may use /dev/kvm.
exec "$(dirname "$0")/as_user" test_neighbour.sh
