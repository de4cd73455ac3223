# SPDX-License-Identifier: Apache-2.0

$(eval $(call test,tests/cli/talk,tests/cli/talk.c,))
