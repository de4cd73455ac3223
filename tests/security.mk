# SPDX-License-Identifier: Apache-2.0
# Evidence that a hostile guest gets nothing; docs/THREAT-MODEL.md.

# What each process may do, from the policies; as up to date as they are.
rights: docs/RIGHTS.md
docs/RIGHTS.md: tests/jail/rights $(wildcard policy/*.policy) | $(O)/policyc
	$(Q)mkdir -p $(O)/gen
	$(Q)tests/jail/rights $(O) >$(O)/gen/RIGHTS.md
	$(Q)cmp -s $(O)/gen/RIGHTS.md $@ || cp $(O)/gen/RIGHTS.md $@
tests: rights

# All of it but long fuzzing.
check-security:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)HOSTILE_SECONDS=30 HOSTILE_CONNECTIONS=40 tests/run $(O) fuzz policy jail guest
	$(Q)$(MAKE) --no-print-directory san

.PHONY: rights check-security
