// Sends JSON lines from standard input with go-lumber, the client inside Filebeat: window after window, until all are acknowledged.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"sync"

	v2 "github.com/elastic/go-lumber/client/v2"
)

func main() {
	address := flag.String("address", "", "where to send")
	window := flag.Int("window", 2048, "events in a window")
	level := flag.Int("compression", 3, "0 to 9, Filebeat's default is 3")
	inflight := flag.Int("inflight", 0, "windows on their way at once; 0: the synchronous client")
	ca := flag.String("ca", "", "whom to trust, in PEM; without it there is no TLS")
	certificate := flag.String("certificate", "", "the client's own, in PEM")
	key := flag.String("key", "", "its key")
	flag.Parse()
	dial := dialer(*ca, *certificate, *key)

	events := read()
	options := []v2.Option{v2.CompressionLevel(*level)}
	var acknowledged int
	if *inflight == 0 {
		acknowledged = oneByOne(dial, *address, options, windows(events, *window))
	} else {
		acknowledged = pipelined(dial, *address, options, *inflight, windows(events, *window))
	}
	fmt.Println(acknowledged)
	if acknowledged != len(events) {
		os.Exit(1)
	}
}

type dialing = func(network, address string) (net.Conn, error)

func dialer(ca, certificate, key string) dialing {
	if ca == "" {
		return net.Dial
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	pem, err := os.ReadFile(ca)
	if err != nil || !config.RootCAs.AppendCertsFromPEM(pem) {
		log.Fatal("no authority: ", err)
	}
	if certificate != "" {
		own, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			log.Fatal(err)
		}
		// Shown also to a server that would rather see another one.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	return func(network, address string) (net.Conn, error) { return tls.Dial(network, address, config) }
}

func read() []interface{} {
	var events []interface{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		events = append(events, json.RawMessage(append([]byte(nil), lines.Bytes()...)))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	return events
}

func windows(events []interface{}, size int) [][]interface{} {
	var all [][]interface{}
	for len(events) > size {
		all = append(all, events[:size])
		events = events[size:]
	}
	return append(all, events)
}

func oneByOne(dial dialing, address string, options []v2.Option, all [][]interface{}) int {
	client, err := v2.SyncDialWith(dial, address, options...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	acknowledged := 0
	for _, window := range all {
		count, err := client.Send(window)
		acknowledged += count
		if err != nil {
			log.Print(err)
			break
		}
	}
	return acknowledged
}

func pipelined(dial dialing, address string, options []v2.Option, inflight int, all [][]interface{}) int {
	client, err := v2.AsyncDialWith(dial, address, inflight, options...)
	if err != nil {
		log.Fatal(err)
	}
	var mutex sync.Mutex
	var waiting sync.WaitGroup
	acknowledged := 0
	for _, window := range all {
		waiting.Add(1)
		done := func(count uint32, err error) {
			mutex.Lock()
			acknowledged += int(count)
			mutex.Unlock()
			if err != nil {
				log.Print(err)
			}
			waiting.Done()
		}
		if err := client.Send(done, window); err != nil {
			break
		}
	}
	waiting.Wait()
	client.Close()
	return acknowledged
}
