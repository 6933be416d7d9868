// A board's top behind a pseudo-terminal: what a host writes there arrives at uart_rx bit by bit, and
// what leaves on uart_tx can be read there, as from a serial port.
//
//   uart_board DIVISOR LINGER
//
// DIVISOR: clock cycles per bit. LINGER: cycles that go by without a byte until the clock stands
// still (the next byte moves it on). The terminal's name goes to stdout; the end of stdin is the end.
#include "Vboard_top.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

constexpr int POWER_ON = 1000;  // cycles before a host can be there: the reset is over by then

// The host's transmitter: ten bits per byte, the low one first.
struct Sender {
    int divisor, timer = 0;
    unsigned bits = 0;  // what is left of start bit, data and stop bit, and a one that ends it

    bool idle() const { return bits <= 1; }
    void send(std::uint8_t byte) { bits = 0x600u | byte << 1, timer = divisor; }
    bool line() {
        bool level = idle() || bits & 1;
        if (!idle() && --timer == 0) bits >>= 1, timer = divisor;
        return level;
    }
};

// The host's receiver: looks at the middle of every bit.
struct Receiver {
    int divisor, timer = 0, n_bits = 0;
    unsigned byte = 0;

    std::optional<std::uint8_t> line(bool level) {
        if (n_bits == 0) {
            if (!level) n_bits = 10, timer = divisor / 2;
            return {};
        }
        if (timer-- > 0) return {};
        timer = divisor - 1;
        n_bits--;
        if (n_bits > 0) {
            byte = byte >> 1 | level << 8;  // the start bit falls out at the low end
            return {};
        }
        return level ? std::optional<std::uint8_t>(byte >> 1 & 0xFF) : std::nullopt;
    }
};

// The controlling end of a terminal that passes bytes on unchanged.
struct Terminal {
    int fd = posix_openpt(O_RDWR | O_NOCTTY);

    bool open() {
        if (fd < 0 || grantpt(fd) || unlockpt(fd)) return false;
        int other = ::open(ptsname(fd), O_RDWR | O_NOCTTY);  // stays open: hosts come and go
        termios settings;
        if (other < 0 || tcgetattr(other, &settings)) return false;
        cfmakeraw(&settings);
        return !tcsetattr(other, TCSANOW, &settings) && std::printf("%s\n", ptsname(fd)) > 0 &&
               !std::fflush(stdout);
    }
    // Waits for a byte, or for the end of stdin, for so many milliseconds (-1: for ever).
    bool ready(int milliseconds, bool &end) const {
        pollfd files[] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        poll(files, 2, milliseconds);
        end = files[1].revents;
        return files[0].revents & POLLIN;
    }
};

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const int divisor = std::atoi(argv[1]);
    const long linger = std::atol(argv[2]), look = 4 * divisor;

    VerilatedContext context;
    context.commandArgs(argc, argv);
    auto top = std::make_unique<Vboard_top>(&context);
    Sender sender{divisor};
    Receiver receiver{divisor};
    auto cycle = [&] {
        top->uart_rx = sender.line();
        top->clk = 0, top->eval();
        top->clk = 1, top->eval();
        return receiver.line(top->uart_tx);
    };
    for (int i = 0; i < POWER_ON; i++) cycle();

    Terminal terminal;
    if (!terminal.open()) return std::perror("pseudo-terminal"), 1;
    std::uint8_t byte;
    long quiet = 0;  // cycles since the last byte
    for (bool end = false; !end;) {
        if (sender.idle() && terminal.ready(quiet < linger ? 0 : -1, end) && !end &&
            read(terminal.fd, &byte, 1) == 1)
            sender.send(byte), quiet = 0;
        for (long i = 0; i < look; i++, quiet++)
            if (auto got = cycle()) {
                quiet = 0;
                if (write(terminal.fd, &*got, 1) != 1) return 1;
            }
    }
    top->final();
}
