package kafkatest

import (
	"net"
	"strings"
	"testing"
)

// recorder stands in for a test whose outcome is looked at.
type recorder struct {
	testing.TB
	cleanups []func()
	messages []string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Failed() bool              { return len(r.messages) > 0 }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.messages = append(r.messages, f) }

func (r *recorder) end() bool {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return !r.Failed()
}

func TestNoLeaks_SocketLeftOpenFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := &recorder{TB: t}
	NoLeaks(r)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if r.end() {
		t.Error("a socket left open passed")
	}
}

func TestNoLeaks_HarnessAndClosedSocketsPass(t *testing.T) {
	r := &recorder{TB: t}
	NoLeaks(r)
	c := Fake(r, FakeOptions{Proxied: true})
	conn, err := c.Dial(t.Context(), "tcp", c.Bootstrap()[0])
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	c.NewTopic(t, Topic{})
	if !r.end() {
		t.Errorf("failed: %s", r.messages)
	}
}

func TestIsOwn_TellsTheLibraryFromItsUsers(t *testing.T) {
	stack := func(outermost, creator string) string {
		return "goroutine 7 [select]:\ninternal/poll.runtime_pollWait(0x1)\n\t/go/src/x.go:1 +0x1\n" +
			outermost + "(0xc000)\n\t/src/a.go:1 +0x1\ncreated by " + creator + " in goroutine 1\n\t/src/b.go:2 +0x2"
	}
	for _, c := range []struct {
		outermost, creator string
		own                bool
	}{
		{modulePath + ".(*fetcher).run", modulePath + ".(*Consumer).Start", true},
		{modulePath + "/internal/broker.(*Conn).read", modulePath + "/internal/broker.Dial", true},
		{"net.(*Resolver).lookup", modulePath + "/internal/cluster.resolve", true},
		{modulePath + "/internal/cluster.run.func1", "sync.(*WaitGroup).Go", true},
		{"testing.tRunner", "testing.(*T).Run", false},
		{harnessPath + ".(*pair).pump", harnessPath + ".(*Proxy).accept", false},
		{harnessPath + "_test.TestX.func1", harnessPath + "_test.TestX", false},
		{"github.com/twmb/franz-go/pkg/kgo.(*broker).handle", "github.com/twmb/franz-go/pkg/kgo.New", false},
		{modulePath + "go.run", modulePath + "go.New", false},
	} {
		if isOwn(stack(c.outermost, c.creator)) != c.own {
			t.Errorf("%s created by %s: own is %v", c.outermost, c.creator, !c.own)
		}
	}
	if isOwn(strings.Repeat("\n", 3)) {
		t.Error("an empty stack is nobody's")
	}
}
