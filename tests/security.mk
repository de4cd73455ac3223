# SPDX-License-Identifier: Apache-2.0
# Evidence that a hostile guest gets nothing; docs/THREAT-MODEL.md.

# What each process may do, from the policies.
rights: $(O)/policyc
	$(Q)tests/jail/rights $(O) >$(O)/RIGHTS.md
	$(Q)cp $(O)/RIGHTS.md docs/RIGHTS.md

# All of it but long fuzzing, and static analysis, which is make tidy.  Two
# tests at a time; those of fuzz once, with sanitizers.
check-security:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 tests
	$(Q)TEST_LIMIT=400 HOSTILE_SECONDS=30 HOSTILE_CONNECTIONS=40 tests/run -j 2 $(O) policy jail guest \
		$(addprefix cli/test_,args bad_input control wrong_use figures limits specification) \
		lab/test_limits
	$(Q)$(MAKE) --no-print-directory san tsan

# The core's parts that several threads share, under TSan, which has no place
# for its shadow where addresses are random in 32 bits.
THREADED := unit/test_bus unit/test_chores unit/test_pci unit/test_msix unit/test_virtio_pci \
	unit/test_virtio_pci_bad unit/test_virtio_pci_back \
	wire/test_vhost_front wire/test_vhost_channel
tsan:
	$(Q)tests/install build lab check
	$(Q)$(MAKE) --no-print-directory -j2 O=$(O)-tsan SAN=thread $(THREADED:%=$(O)-tsan/tests/%)
	$(Q)TEST_LIMIT=400 setarch -R tests/run -j 2 $(O)-tsan unit wire

# Static analysis; what is no finding is explained in tests/tidy.allowed.
tidy: all
	$(Q)tests/install build lab check
	$(Q)tests/tidy $(O)

.PHONY: rights check-security tsan tidy
