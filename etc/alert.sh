#!/bin/sh
# A script for `alert /etc/ha.d/alert.sh [FILE]` in ha.cf: writes each alert as one line to syslog, and to FILE if there is
# one. It is told everything by its environment, as Pacemaker's alert agents are; docs/operations.md lists the variables.
# Try it by hand:    CRM_alert_kind=node HEARTH_alert_name=test HEARTH_alert_text=Hello ./alert.sh
# and on a cluster:  hearth alert test

line="$CRM_alert_timestamp $HEARTH_alert_name: $HEARTH_alert_text"
if [ "${HEARTH_alert_left_out:-0}" != 0 ]; then
	line="$line ($HEARTH_alert_left_out more like it were left out)"
fi

if [ -n "$CRM_alert_recipient" ]; then
	echo "$line" >>"$CRM_alert_recipient" || exit 1
fi

# How bad it is, for those who filter.
case $HEARTH_alert_name in
test | node-back | takeover | fence-device-works) priority=daemon.notice ;;
*) priority=daemon.err ;;
esac
if command -v logger >/dev/null 2>&1; then
	logger -t hearth-alert -p "$priority" -- "$line"
fi
# What it says last is shown by `hearth alert test`; an exit code other than 0 is told in the log and in the timeline.
echo "written on $(uname -n)"
