// What the shim is compiled against, because signal-cli's own classes are of a newer Java than Debian's compiler reads.
// It is never on the class path of a signal-cli that runs.
package org.asamk.signal.manager.api;

public enum ServiceEnvironment {
    LIVE,
    STAGING
}
