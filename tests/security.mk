# SPDX-License-Identifier: Apache-2.0
# Evidence that a hostile guest gets nothing; docs/THREAT-MODEL.md.

# What each process may do, from the policies.
rights: $(O)/policyc
	$(Q)tests/jail/rights $(O) >$(O)/RIGHTS.md
	$(Q)cp $(O)/RIGHTS.md docs/RIGHTS.md

# All of it but long fuzzing.
check-security:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)HOSTILE_SECONDS=30 HOSTILE_CONNECTIONS=40 tests/run $(O) fuzz policy jail guest
	$(Q)$(MAKE) --no-print-directory san

.PHONY: rights check-security
