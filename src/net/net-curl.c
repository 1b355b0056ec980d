/* SPDX-License-Identifier: Apache-2.0 */
#include "net-curl.h"
#include <dlfcn.h>
#include <glib.h>

static gpointer
load (gpointer data)
{
	static NetCurl loaded;
	void *lib = dlopen ("libcurl-gnutls.so.4", RTLD_NOW | RTLD_NODELETE);
	if (!lib)
		return NULL;
	__typeof__ (curl_global_init) *global = (__typeof__ (global)) dlsym (lib, "curl_global_init");
	loaded.init = (__typeof__ (loaded.init)) dlsym (lib, "curl_easy_init");
	loaded.setopt = (__typeof__ (loaded.setopt)) dlsym (lib, "curl_easy_setopt");
	loaded.getinfo = (__typeof__ (loaded.getinfo)) dlsym (lib, "curl_easy_getinfo");
	loaded.perform = (__typeof__ (loaded.perform)) dlsym (lib, "curl_easy_perform");
	loaded.cleanup = (__typeof__ (loaded.cleanup)) dlsym (lib, "curl_easy_cleanup");
	gboolean whole = global && loaded.init && loaded.setopt && loaded.getinfo && loaded.perform && loaded.cleanup;
	return whole && global (CURL_GLOBAL_DEFAULT) == CURLE_OK ? &loaded : NULL;
}

const NetCurl *
net_curl (void)
{
	static GOnce once = G_ONCE_INIT;
	return g_once (&once, load, NULL);
}
