/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded (dlopen) when it is first needed: few runs ask by HTTP, and linking it would cost every start. */
#pragma once
#include <curl/curl.h>

typedef struct {
	__typeof__ (curl_easy_init) *init;
	/* The prototypes have macros of the same names around them. */
	CURLcode (*setopt) (CURL *, CURLoption, ...);
	CURLcode (*getinfo) (CURL *, CURLINFO, ...);
	__typeof__ (curl_easy_perform) *perform;
	__typeof__ (curl_easy_cleanup) *cleanup;
} NetCurl;
/* NULL: it is not installed. Thread-safe. */
const NetCurl *net_curl (void);
