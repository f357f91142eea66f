// Where a connection comes from, as far as what it may use is shared out by that.

/** Groups of an IPv6 address that name a site: whoever has one can make up any number of addresses in it. */
const SITE_GROUPS = 4

/** The machine, or with IPv6 the site, that an address such as `/ip4/203.0.113.5/tcp/4001` leads to, without the port. */
export function originOf(address: string): string {
  const [, kind = '', host = ''] = address.split('/')
  if (kind !== 'ip6') return `/${kind}/${host}`
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)
  if (mapped !== null) return `/ip4/${mapped[1]}`
  const [before = '', after] = host.toLowerCase().split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [head, tail] = [groups(before), groups(after ?? '')]
  const filled = after === undefined ? head : [...head, ...Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0'), ...tail]
  const site = filled.slice(0, SITE_GROUPS).map((group) => group.replace(/^0+(?=.)/, ''))
  return `/ip6/${site.join(':')}::`
}
