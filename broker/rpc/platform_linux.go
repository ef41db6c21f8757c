package rpc

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall has not.
const tcpUserTimeout = 0x12

// giveUpAfter ends a connection when bytes sent are not acknowledged for so long. gRPC does
// that only where nothing stands before the connection. Where it fails, the connection is
// found dead when it is probed.
func giveUpAfter(conn net.Conn, silence time.Duration) {
	socket, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silence.Milliseconds()))
	})
}
