// Package doccheck holds the documentation to the code: its tests build every snippet, follow every link, and compare
// what the pages list (options, errors, log lines) with what the sources have.
package doccheck
