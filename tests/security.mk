# SPDX-License-Identifier: Apache-2.0
# Evidence that a hostile guest gets nothing; docs/THREAT-MODEL.md.

# What each process may do, from the policies.
rights: $(O)/policyc
	$(Q)tests/jail/rights $(O) >$(O)/RIGHTS.md
	$(Q)cp $(O)/RIGHTS.md docs/RIGHTS.md

# All of it but long fuzzing, and static analysis, which is make tidy.
check-security:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)HOSTILE_SECONDS=30 HOSTILE_CONNECTIONS=40 tests/run $(O) fuzz policy jail guest \
		$(addprefix cli/test_,args bad_input control wrong_use figures limits specification)
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) tests/lab/limits
	$(Q)$(MAKE) --no-print-directory san tsan

# The core's parts that several threads share, under TSan, which has no place
# for its shadow where addresses are random in 32 bits.
THREADED := unit/test_bus unit/test_chores unit/test_pci unit/test_msix unit/test_virtio_pci \
	unit/test_virtio_pci_bad unit/test_virtio_pci_back \
	wire/test_vhost_front
tsan:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 O=$(O)-tsan SAN=thread $(THREADED:%=$(O)-tsan/tests/%)
	$(Q)setarch -R tests/run $(O)-tsan unit wire

# Limits of cgroups in force, in the lab, where there are controllers for them.
check-limits:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)BULKHEAD_BUILD=$(abspath $(O)) tests/lab/limits

# Static analysis; what is no finding is explained in tests/tidy.allowed.
tidy: all
	$(Q)tests/install build lab check
	$(Q)tests/tidy $(O)

.PHONY: rights check-security check-limits tsan tidy
