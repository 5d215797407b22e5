package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// certificate makes a self-signed certificate for a host name, and a pool that trusts it.
func certificate(t testing.TB, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// tlsFront is a dialer to a node of a fake cluster through a TLS listener.
func tlsFront(t testing.TB, fake *fakebroker.Cluster, server *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		back, err := fake.Dial(ctx, network, fake.Addr(1))
		if err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		front := tls.Server(far, server)
		// Both end when either side closes.
		go func() { defer back.Close(); defer far.Close(); _, _ = copyConn(back, front) }()
		go func() { defer back.Close(); defer far.Close(); _, _ = copyConn(front, back) }()
		return near, nil
	}
}

func copyConn(dst, src net.Conn) (n int, err error) {
	b := make([]byte, 4096)
	for err == nil {
		var k int
		if k, err = src.Read(b); k > 0 {
			_, err = dst.Write(b[:k])
		}
		n += k
	}
	return n, err
}

func TestTLS_SpeaksAndStreams(t *testing.T) {
	fake := inMemory(t)
	id := fake.CreateTopic("t", 1)
	big := bytes.Repeat([]byte("kafka"), 50_000)
	fake.Append("t", 0, protocol.RecordData{Value: big})
	cert, pool := certificate(t, "kafka")
	mine := &tls.Config{RootCAs: pool}
	cfg := Config{TLS: mine, Dial: tlsFront(t, fake, &tls.Config{Certificates: []tls.Certificate{cert}})}
	conn, err := Dial(t.Context(), cfg, "kafka:9093")
	require.NoError(t, err, "the server name is the host dialed")
	require.Empty(t, mine.ServerName, "the configuration is cloned")
	r := &recorder{}
	_, err = conn.Fetch(t.Context(), fetchOf(id, "t"), CallOptions{}, r)
	require.NoError(t, err)
	require.True(t, bytes.Contains(r.partitions[0].Partition.Records, big))
	conn.Close(nil)
	conn.Wait()
}

func TestTLS_CertificatesThatDoNotFitFailForGood(t *testing.T) {
	cert, pool := certificate(t, "kafka")
	for _, tt := range []struct {
		name, addr string
		client     *tls.Config
		server     *tls.Config
		hint       string
	}{
		{"another name", "other:9093", &tls.Config{RootCAs: pool}, &tls.Config{}, "advertised.listeners"},
		{"not trusted", "kafka:9093", &tls.Config{RootCAs: x509.NewCertPool()}, &tls.Config{}, "RootCAs"},
		{"a client certificate is demanded", "kafka:9093", &tls.Config{RootCAs: pool}, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, "refused our certificate"},
		{"no common TLS version", "kafka:9093", &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS13}, "TLS version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := inMemory(t)
			tt.server.Certificates = []tls.Certificate{cert}
			_, err := Dial(t.Context(), Config{TLS: tt.client, Dial: tlsFront(t, fake, tt.server)}, tt.addr)
			h, ok := errors.AsType[*HandshakeError](err)
			require.True(t, ok, "%v", err)
			require.True(t, h.Permanent, "%v", err)
			require.ErrorContains(t, err, tt.hint)
			require.ErrorContains(t, err, tt.addr)
		})
	}
}

// A deadline that fires without a request being overdue must not break the TLS state.
func TestTLS_SurvivesAMovedDeadline(t *testing.T) {
	fake := inMemory(t)
	cert, pool := certificate(t, "kafka")
	cfg := Config{TLS: &tls.Config{RootCAs: pool}, Dial: tlsFront(t, fake, &tls.Config{Certificates: []tls.Certificate{cert}})}
	conn, err := Dial(t.Context(), cfg, "kafka:9093")
	require.NoError(t, err)
	require.NoError(t, conn.nc.SetReadDeadline(time.Now()))
	for range 3 {
		_, _, err = conn.Do(t.Context(), metadataFor("a"), CallOptions{})
		require.NoError(t, err)
	}
	conn.Close(nil)
	conn.Wait()
}
