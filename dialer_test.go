package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/fakebroker"
)

// A dialer may bring connections that speak TLS, as a tls.Dialer's do: nothing else knows of it.
func TestDialer_MayBringTLS(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer web.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	k := fakebroker.Start(t, fakebroker.Options{})
	k.CreateTopic("t", 1)
	k.AppendValues("t", 0, "a", "b")

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	require.NoError(t, err)
	defer listener.Close()
	go func() { // ends with the listener
		for {
			outside, err := listener.Accept()
			if err != nil {
				return
			}
			inside, err := net.Dial("tcp", k.Addr(1))
			if err != nil {
				_ = outside.Close()
				continue
			}
			go func() { // ends with either connection
				defer outside.Close()
				_, _ = io.Copy(outside, inside)
			}()
			go func() {
				defer inside.Close()
				_, _ = io.Copy(inside, outside)
			}()
		}
	}()
	secure := tls.Dialer{Config: &tls.Config{RootCAs: trusted, ServerName: "example.com"}}
	c := startConsumer(t, k, WithTopics("t"), WithDialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return secure.DialContext(ctx, network, listener.Addr().String())
	}))
	require.Len(t, receive(t, c, 2), 2)
}
