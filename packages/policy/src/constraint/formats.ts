/** Formats of JSON Schema as patterns, each within what the format's own specification allows. */

const DAYS_28 = '(0[1-9]|1[0-9]|2[0-8])';
const DATE =
  `([0-9]{4}-((0[13578]|1[02])-(${DAYS_28}|29|30|31)|(0[469]|11)-(${DAYS_28}|29|30)|02-${DAYS_28})` +
  // A year of which 4 is a divisor, and 100 is none unless 400 is.
  '|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)';
const TIME = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])';
const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const HOST = `${LABEL}(\\.${LABEL}){0,3}`;
const HEX = '[0-9A-Fa-f]';
const PATH = "([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*";

export const FORMATS: ReadonlyMap<string, string> = new Map([
  ['date', `^${DATE}$`],
  ['time', `^${TIME}$`],
  ['date-time', `^${DATE}T${TIME}$`],
  // Its parts in their order, at least one; weeks stand alone.
  [
    'duration',
    '^P([0-9]+W|([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))$',
  ],
  ['email', `^[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,30})?@${LABEL}(\\.${LABEL}){1,2}$`],
  ['hostname', `^${HOST}$`],
  ['ipv4', `^${BYTE}(\\.${BYTE}){3}$`],
  ['ipv6', `^(${HEX}{1,4}:){7}${HEX}{1,4}$|^::(${HEX}{1,4}(:${HEX}{1,4}){0,5})?$|^${HEX}{1,4}::${HEX}{1,4}$`],
  ['uuid', `^${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}$`],
  ['uri', `^https?://${HOST}(:[1-9][0-9]{0,3})?(/${PATH})?(\\?${PATH})?(#${PATH})?$`],
]);
