"""No fault: the denominator of all false alarms."""

from lab.faults.base import Fault

FAULT = Fault
