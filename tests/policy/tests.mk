# SPDX-License-Identifier: Apache-2.0

$(eval $(call test,tests/policy/test_install,tests/policy/test_install.c policy/install.c policy/lastword.c $(POLICYC_PARTS) $(patsubst %,gen/policy_%.c,blk console core rng serial) gen/syscall_names.c,-lseccomp))
$(eval $(call test,tests/policy/test_every_call,tests/policy/test_every_call.c tests/tap.c policy/install.c policy/lastword.c $(POLICYC_PARTS) $(patsubst %,gen/policy_%.c,blk console core disk rng serial),-lseccomp))
$(eval $(call test,tests/policy/coverage,tests/policy/coverage.c tests/tap.c $(POLICYC_PARTS),-lseccomp))
