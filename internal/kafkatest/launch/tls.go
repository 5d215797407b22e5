package launch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority is a certificate authority made for one cluster.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	PEM  []byte // its certificate
}

// NewAuthority makes a self-signed certificate authority.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("kafkatest authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// Issue signs a certificate for a name, good for this machine's loopback addresses as a server and as a client. Change may alter
// it before it is signed (an expired one, a wrong name); nil leaves it.
func (a *Authority) Issue(name string, change func(*x509.Certificate)) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := certificate(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key) // the only form Kafka's PEM stores read
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// ServerConfig is what a server of this authority listens with.
func (a *Authority) ServerConfig() (*tls.Config, error) { return a.config("kafkatest broker") }

// ClientConfig trusts this authority and carries a client certificate.
func (a *Authority) ClientConfig() (*tls.Config, error) { return a.config("kafkatest client") }

func (a *Authority) config(name string) (*tls.Config, error) {
	certPEM, keyPEM, err := a.Issue(name, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// Pool holds only this authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// writeStores writes the PEM key store and trust store of a broker (KIP-651).
func (a *Authority) writeStores(dir string) (keystore, truststore string, err error) {
	certPEM, keyPEM, err := a.Issue("kafkatest broker", nil)
	if err != nil {
		return "", "", err
	}
	keystore, truststore = filepath.Join(dir, "keystore.pem"), filepath.Join(dir, "truststore.pem")
	if err := os.WriteFile(keystore, append(keyPEM, certPEM...), 0o600); err != nil {
		return "", "", err
	}
	if err := os.WriteFile(truststore, a.PEM, 0o600); err != nil {
		return "", "", err
	}
	return keystore, truststore, nil
}

func certificate(name string) *x509.Certificate {
	serial := make([]byte, 15)
	rand.Read(serial) // documented never to fail
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(48 * time.Hour),
	}
}
