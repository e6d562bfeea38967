/** How people name a peer: by its address, a link-local one with its interface, or `%eth1` for whoever is on that one. */
import { formatAddress, parseAddress } from 'bgp-parse';

/** The name in its normal form (RFC 5952); undefined = it is none. */
export function normalPeerName(text: string): string | undefined {
  const percent = text.indexOf('%');
  const address = percent < 0 ? text : text.slice(0, percent);
  const scope = percent < 0 ? '' : text.slice(percent);
  if (percent >= 0 && !/^%[^\s/:%]{1,15}$/.test(scope)) return undefined;
  if (address === '') return scope === '' ? undefined : scope;
  const bytes = parseAddress(address);
  return bytes && `${formatAddress(bytes)}${scope}`;
}
