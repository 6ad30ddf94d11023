# SPDX-License-Identifier: Apache-2.0
$(BUILD)/loader/base/version.o: EXTRA_CFLAGS += -DMARGAY_VERSION='"$(VERSION)"'
