package launch

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken below the range from which kernels give outgoing connections theirs (32768 on Linux), so that the port of a
// node that is down cannot be lost to a client's connection before it comes back.
const firstPort, lastPort = 15000, 32000

// freePorts finds n loopback ports that nothing listens on. They are not reserved: a start that finds one taken is tried again with others.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	seen := make(map[int]bool)
	for range 200 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if seen[port] {
			continue
		}
		seen[port] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free loopback ports between %d and %d", n, firstPort, lastPort)
}
