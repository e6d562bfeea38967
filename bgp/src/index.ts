/** bgp-parse: the BGP-4 wire format. Decode, validate (RFC 7606) and encode; no dependency, no I/O, no clock. */
export * from './ip.js';
export * from './family.js';
export * from './errors.js';
export * from './constants.js';
export { Framer, type MessageSink } from './framer.js';
export { UpdateLayout, MpLayout, locateUpdate, locateMp, stripMp } from './update-layout.js';
export { AttributeScan, type ScanContext, scanAttributes, scanCanonical } from './attribute-scan.js';
export { canonicalizeAttributes } from './canonical-attributes.js';
export { countAs } from './as-path.js';
export { scanError } from './update-error.js';
export {
  type AfiSafi,
  type Capability,
  AddPathMode,
  Role,
  findCapability,
  decodeCapabilities,
  encodeCapability,
} from './capability.js';
export { type OpenMessage, type EncodeOpenOptions, decodeOpen, encodeOpen } from './message/open.js';
export {
  type NotificationMessage,
  decodeNotification,
  encodeNotification,
  describeNotification,
  shutdownData,
  shutdownText,
} from './message/notification.js';
export { keepaliveMessage } from './message/keepalive.js';
export {
  type RouteRefreshMessage,
  RouteRefreshSubtype,
  decodeRouteRefresh,
  encodeRouteRefresh,
} from './message/route-refresh.js';
export { buildMessage, writeMessageHeader } from './message/header.js';
export { type Nlri, decodeNlri, encodeNlri, nlriLength } from './nlri.js';
export {
  type AsPathSegment,
  type PathAttributes,
  type UnknownAttribute,
  decodeAsPath,
  decodeAttributes,
  encodeAttributes,
  asPathHops,
} from './attributes.js';
export {
  type AsPathJson,
  type LargeCommunity,
  formatOrigin,
  formatNextHop,
  formatCommunity,
  parseCommunity,
  formatLargeCommunity,
  parseLargeCommunity,
  formatExtendedCommunity,
  parseExtendedCommunity,
  asPathToJson,
  formatAsPath,
  formatHex,
} from './text.js';
export { endOfRib, endOfRibFamily } from './end-of-rib.js';
export {
  type DecodedUpdate,
  type EncodeUpdateContext,
  type MpReach,
  type MpUnreach,
  type Update,
  type UpdateContext,
  decodeUpdate,
  encodeUpdate,
} from './message/update.js';
export {
  type BfdControl,
  type BfdFault,
  BFD_CONTROL_LENGTH,
  BfdDiagnostic,
  BfdState,
  createBfdControl,
  decodeBfdControl,
  encodeBfdControl,
  formatBfdDiagnostic,
  formatBfdState,
} from './bfd.js';
