// The key to the service. It is never part of a query: those end up in logs on the way.

const KEY = "openmic.token";
let inMemory = null; // for browsers that forbid storage

/**
 * The token from the address, else the one this tab used before; null where there is none.
 *
 * The fragment stays in the address on purpose: browsers do not send it, so it gives nothing away on the network, and
 * with it a reload, a bookmark, the phone's share sheet and a copied address keep working for the next tester, which is
 * what such a link is for. A token typed by hand takes its place, or a reload would go back to the wrong one.
 */
export function readToken() {
  const fromLink = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fromLink) store(fromLink);
  return fromLink || stored();
}

/** Take a typed token, or the link that contains it. Returns it. */
export function useTypedToken(typed) {
  const inLink = typed.match(/token=([^&\s]+)/);
  const token = inLink ? decodeURIComponent(inLink[1]) : typed.trim();
  store(token);
  history.replaceState(null, "", `#${new URLSearchParams({ token })}`);
  return token;
}

function store(token) {
  inMemory = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // kept in memory alone
  }
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? inMemory;
  } catch {
    return inMemory;
  }
}
