/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"
#include "smtpd.h"
#include <string.h>

#define WHOLE_MAX (1u << 20)
#define HEADER_MAX (64u << 10)

/* RFC 3463: "550 5.1.1 ..." has one; of others the class is what is known. */
static char *
status_of (const ReportLine *l)
{
	static const char pattern[] = "^[245][0-9][0-9] ([245]\\.[0-9]{1,3}\\.[0-9]{1,3})( |$)";
	g_autoptr (GRegex) regex = g_regex_new (pattern, 0, 0, NULL);
	g_autoptr (GMatchInfo) match = NULL;
	if (strcmp (l->action, "failed") != 0)
		return g_strdup ("2.0.0");
	if (g_regex_match (regex, l->said, 0, &match) && l->said[0] == '5')
		return g_match_info_fetch (match, 1);
	return g_strdup (l->said[0] == '5' ? "5.0.0" : "4.4.7"); /* 4.4.7: it took too long */
}

static gboolean
is_reply (const char *said)
{
	return g_ascii_isdigit (said[0]) && g_ascii_isdigit (said[1]) && g_ascii_isdigit (said[2]) && (said[3] == ' ' || !said[3]);
}

static void
write_recipient (GString *to, const QueueMessage *m, const ReportLine *l)
{
	g_autofree char *status = status_of (l);
	const QueueRecipient *r = l->recipient;
	if (r->orcpt)
		g_string_append_printf (to, "\r\nOriginal-Recipient: %s", r->orcpt);
	g_string_append_printf (to, "\r\nFinal-Recipient: %s; %s\r\nAction: %s\r\nStatus: %s\r\n", m->utf8 && !g_str_is_ascii (r->address) ? "utf-8" : "rfc822",
	                        r->address, l->action, status);
	if (is_reply (l->said))
		g_string_append_printf (to, "Diagnostic-Code: smtp; %s\r\n", l->said);
}

static void
write_for_people (GString *to, const GArray *lines, gboolean failed)
{
	g_string_append (to, failed ? "This is the mail server. Your message could not be delivered to:\r\n" : "This is the mail server. Your message has been passed on to:\r\n");
	for (guint i = 0; i < lines->len; i++) {
		const ReportLine *l = &g_array_index (lines, ReportLine, i);
		g_string_append_printf (to, "\r\n    %s\r\n        %s%s%s\r\n", l->recipient->address, l->action, *l->said ? ": " : "", l->said);
	}
	g_string_append (to, failed ? "\r\nIt will not be tried again.\r\n" : "");
}

/* With the line end of its last field. */
static gsize
header_size (const char *octets, gsize size)
{
	const char *end = memmem (octets, size, "\r\n\r\n", 4);
	return MIN (end ? (gsize) (end + 2 - octets) : size, HEADER_MAX);
}

GBytes *
report_new (const char *host, const char *name, const QueueMessage *m, GBytes *octets, const GArray *lines)
{
	gsize size;
	const char *data = g_bytes_get_data (octets, &size);
	g_autofree char *date = smtpd_date_now ();
	gboolean failed = FALSE;
	for (guint i = 0; i < lines->len; i++)
		failed |= strcmp (g_array_index (lines, ReportLine, i).action, "failed") == 0;
	gboolean whole = failed && m->ret && g_ascii_strcasecmp (m->ret, "FULL") == 0 && size <= WHOLE_MAX;
	GString *to = g_string_new (NULL);
	g_string_append_printf (to, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", host,
	                        m->sender, failed ? "Mail could not be delivered" : "Mail has been passed on", date, name, host);
	g_string_append_printf (to, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n"
	                            "\tboundary=\"=_%s\"\r\n\r\n--=_%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
	                        name, name);
	write_for_people (to, lines, failed);
	g_string_append_printf (to, "\r\n--=_%s\r\nContent-Type: message/%sdelivery-status\r\n%s\r\nReporting-MTA: dns; %s\r\n", name, m->utf8 ? "global-" : "",
	                        m->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "", host);
	if (m->envid)
		g_string_append_printf (to, "Original-Envelope-Id: %s\r\n", m->envid);
	for (guint i = 0; i < lines->len; i++)
		write_recipient (to, m, &g_array_index (lines, ReportLine, i));
	g_string_append_printf (to, "\r\n--=_%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", name,
	                        whole ? (m->utf8 ? "message/global" : "message/rfc822") : m->utf8 ? "message/global-headers" : "text/rfc822-headers");
	g_string_append_len (to, data, (gssize) (whole ? size : header_size (data, size)));
	g_string_append_printf (to, "\r\n--=_%s--\r\n", name);
	return g_string_free_to_bytes (to);
}
