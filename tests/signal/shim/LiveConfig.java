// Stands before signal-cli's own class of this name on the class path: the addresses and keys of Signal are compiled into
// that one. Everything else of signal-cli stays as it is released.
package org.asamk.signal.manager.config;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import okhttp3.Interceptor;
import org.asamk.signal.manager.api.ServiceEnvironment;
import org.signal.libsignal.net.Network;
import org.signal.libsignal.protocol.InvalidKeyException;
import org.signal.libsignal.protocol.ecc.ECPublicKey;
import org.whispersystems.signalservice.api.push.TrustStore;
import org.whispersystems.signalservice.internal.configuration.SignalCdnUrl;
import org.whispersystems.signalservice.internal.configuration.SignalCdsiUrl;
import org.whispersystems.signalservice.internal.configuration.SignalServiceConfiguration;
import org.whispersystems.signalservice.internal.configuration.SignalServiceUrl;
import org.whispersystems.signalservice.internal.configuration.SignalStorageUrl;
import org.whispersystems.signalservice.internal.configuration.SignalSvr2Url;

class LiveConfig {
    private static final TrustStore TRUST = new TrustStore() {
        @Override
        public InputStream getKeyStoreInputStream() {
            try {
                return new FileInputStream(System.getProperty("mock.trust"));
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        @Override
        public String getKeyStorePassword() {
            return "whisper";
        }
    };

    private static byte[] bytes(String name) {
        return Base64.getDecoder().decode(System.getProperty(name));
    }

    static SignalServiceConfiguration createDefaultServiceConfiguration(List<Interceptor> interceptors) {
        String url = System.getProperty("mock.url");
        SignalCdnUrl[] cdn = {new SignalCdnUrl(url, TRUST)};
        return new SignalServiceConfiguration(
                new SignalServiceUrl[] {new SignalServiceUrl(url, TRUST)},
                Map.of(0, cdn, 2, cdn, 3, cdn),
                new SignalStorageUrl[] {new SignalStorageUrl(url, TRUST)},
                new SignalCdsiUrl[] {new SignalCdsiUrl(url, TRUST)},
                new SignalSvr2Url[] {new SignalSvr2Url(url, TRUST, null, null)},
                interceptors,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                bytes("mock.zk"),
                bytes("mock.generic"),
                bytes("mock.backup"),
                false);
    }

    static ECPublicKey getUnidentifiedSenderTrustRoot() {
        try {
            return new ECPublicKey(bytes("mock.root"));
        } catch (InvalidKeyException error) {
            throw new AssertionError(error);
        }
    }

    static ServiceEnvironmentConfig getServiceEnvironmentConfig(List<Interceptor> interceptors) {
        return new ServiceEnvironmentConfig(
                ServiceEnvironment.LIVE,
                Network.Environment.PRODUCTION,
                createDefaultServiceConfiguration(interceptors),
                getUnidentifiedSenderTrustRoot(),
                "00",
                List.of("00", "00"));
    }
}
