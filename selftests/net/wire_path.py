# SPDX-License-Identifier: Apache-2.0
"""Makes the modules of selftests/net/wire importable here."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wire"))
