#include "vm/boot/acpi.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "vm/dev/ioapic.h"
#include "vm/dev/lapic.h"
#include "vm/dev/power.h"
#include "vm/dev/serial.h"

#define OEM_ID "VIVARM"
#define OEM_TABLE "VIVARIUM"

struct table_header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
} __attribute__((packed));

struct address {   /* generic address structure, §5.2.3.2 */
    uint8_t space; /* 1: port */
    uint8_t bits;
    uint8_t offset;
    uint8_t access; /* 1: byte */
    uint64_t address;
} __attribute__((packed));

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} __attribute__((packed));

struct fadt { /* §5.2.9, the fields that a hardware-reduced platform fills */
    struct table_header header;
    uint32_t facs, dsdt;
    uint8_t reserved0;
    uint8_t profile;
    uint8_t legacy[63];
    uint16_t boot_flags;
    uint8_t reserved1;
    uint32_t flags;
    struct address reset;
    uint8_t reset_value;
    uint16_t arm_flags;
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
    struct address x_legacy[8];
    struct address sleep_control, sleep_status;
    uint64_t hypervisor;
} __attribute__((packed));

_Static_assert(sizeof(struct fadt) == 276, "FADT of ACPI 6.x");

#define FADT_RESET (1U << 10)
#define FADT_HW_REDUCED (1U << 20)
#define BOOT_NO_VGA (1U << 2)
#define BOOT_NO_CMOS (1U << 5)

static uint8_t checksum(const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

static struct table_header header(const char *signature, uint8_t revision)
{
    struct table_header h = {.revision = revision, .oem_revision = 1, .creator_revision = 1};

    memcpy(h.signature, signature, 4);
    memcpy(h.oem_id, OEM_ID, 6);
    memcpy(h.oem_table, OEM_TABLE, 8);
    memcpy(h.creator, "VIVA", 4);
    return h;
}

/* ---- AML, the byte code of the DSDT (§20.2) ---- */

static void aml_bytes(struct buf *buf, const char *bytes, size_t length)
{
    buf_add(buf, bytes, length);
}

#define AML(buf, text) aml_bytes((buf), (text), sizeof(text) - 1)

static void aml_dword(struct buf *buf, uint32_t value)
{
    buf_add(buf, &value, sizeof(value));
}

/* A package length (§20.2.4) counts itself; the two-byte form serves all that is made here. */
static void aml_package(struct buf *buf, const struct buf *content)
{
    size_t length = content->length + 2;

    buf_add_char(buf, (char)(0x40 | (length & 0xf)));
    buf_add_char(buf, (char)(length >> 4));
    buf_add(buf, content->data, content->length);
}

/* Name(_CRS, ResourceTemplate() {…}) with the resources' bytes; an end tag is added. */
static void aml_resources(struct buf *buf, struct buf *resources)
{
    _cleanup_buf_ struct buf content = {0};

    AML(resources, "\x79\x00");
    AML(&content, "\x0b"); /* the buffer's size as a word */
    buf_add_char(&content, (char)(resources->length & 0xff));
    buf_add_char(&content, (char)(resources->length >> 8));
    buf_add(&content, resources->data, resources->length);
    AML(buf, "\x08_CRS\x11");
    aml_package(buf, &content);
}

static void aml_port(struct buf *buf, uint16_t port, uint8_t length)
{
    AML(buf, "\x47\x01"); /* I/O port descriptor, 16-bit decode */
    buf_add(buf, &port, 2);
    buf_add(buf, &port, 2);
    buf_add_char(buf, 1);
    buf_add_char(buf, (char)length);
}

static void aml_interrupt(struct buf *buf, uint32_t pin)
{
    AML(buf, "\x89\x06\x00\x03\x01"); /* extended interrupt: consumer, edge, active high, one */
    aml_dword(buf, pin);
}

static void aml_device(struct buf *buf, const char *name, const struct buf *body)
{
    _cleanup_buf_ struct buf content = {0};

    buf_add(&content, name, 4);
    buf_add(&content, body->data, body->length);
    AML(buf, "\x5b\x82"); /* Device */
    aml_package(buf, &content);
}

/* Name(_HID, "…") Name(_UID, n) */
static void aml_identity(struct buf *buf, const char *hid, unsigned uid)
{
    AML(buf, "\x08_HID\x0d");
    buf_add(buf, hid, strlen(hid) + 1);
    AML(buf, "\x08_UID\x0a");
    buf_add_char(buf, (char)uid);
}

static void aml_serial(struct buf *buf)
{
    _cleanup_buf_ struct buf body = {0};
    _cleanup_buf_ struct buf resources = {0};

    AML(&body, "\x08_HID\x0c\x41\xd0\x05\x01"); /* EISAID("PNP0501") */
    AML(&body, "\x08_UID\x0a\x01");
    aml_port(&resources, SERIAL_COM1, SERIAL_SIZE);
    aml_interrupt(&resources, SERIAL_COM1_PIN);
    aml_resources(&body, &resources);
    aml_device(buf, "COM1", &body);
}

static void aml_panic(struct buf *buf)
{
    _cleanup_buf_ struct buf body = {0};
    _cleanup_buf_ struct buf resources = {0};

    aml_identity(&body, "QEMU0001", 0);
    aml_port(&resources, POWER_PANIC, 1);
    aml_resources(&body, &resources);
    aml_device(buf, "PEVT", &body);
}

static void aml_virtio(struct buf *buf, const struct acpi_device *device, unsigned index)
{
    _cleanup_buf_ struct buf body = {0};
    _cleanup_buf_ struct buf resources = {0};
    const char name[5] = {'V', 'R', (char)('0' + index / 10), (char)('0' + index % 10), 0};

    aml_identity(&body, "LNRO0005", index);
    AML(&body, "\x08_CCA\x01");          /* caches are coherent */
    AML(&resources, "\x86\x09\x00\x01"); /* 32-bit fixed memory, writable */
    aml_dword(&resources, (uint32_t)device->base);
    aml_dword(&resources, device->size);
    aml_interrupt(&resources, device->pin);
    aml_resources(&body, &resources);
    aml_device(buf, name, &body);
}

static void fill_dsdt(struct buf *buf, const struct acpi_config *config)
{
    _cleanup_buf_ struct buf scope = {0};

    AML(buf, "\x08_S5_\x12\x07\x04\x0a\x05\x00\x00\x00"); /* Name(_S5, Package(4) {5, 0, 0, 0}) */
    AML(&scope, "\\_SB_");
    if (config->serial)
        aml_serial(&scope);
    aml_panic(&scope);
    for (unsigned i = 0; i < config->device_count; i++)
        aml_virtio(&scope, &config->devices[i], i);
    AML(buf, "\x10"); /* Scope */
    aml_package(buf, &scope);
}

static void fill_madt(struct buf *buf, const struct acpi_config *config)
{
    aml_dword(buf, LAPIC_BASE);
    aml_dword(buf, 0); /* no PC-AT interrupt controllers */
    for (unsigned i = 0; i < config->cpus; i++) {
        const uint8_t entry[] = {0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0};
        buf_add(buf, entry, sizeof(entry));
    }
    AML(buf, "\x01\x0c\x00\x00"); /* IOAPIC with id 0 */
    aml_dword(buf, IOAPIC_BASE);
    aml_dword(buf, 0);                    /* its first interrupt */
    AML(buf, "\x04\x06\xff\x00\x00\x01"); /* NMI on LINT1 of every CPU */
}

static struct address port_address(uint64_t port)
{
    return (struct address){.space = 1, .bits = 8, .access = 1, .address = port};
}

static struct fadt make_fadt(uint32_t dsdt)
{
    struct fadt fadt = {
            .header = header("FACP", 6),
            .dsdt = dsdt,
            .boot_flags = BOOT_NO_VGA | BOOT_NO_CMOS,
            .flags = FADT_RESET | FADT_HW_REDUCED,
            .reset = port_address(POWER_RESET),
            .reset_value = POWER_RESET_VALUE,
            .minor = 4,
            .x_dsdt = dsdt,
            .sleep_control = port_address(POWER_SLEEP_CONTROL),
            .sleep_status = port_address(POWER_SLEEP_STATUS),
    };

    memcpy(&fadt.hypervisor, "VIVARIUM", 8);
    return fadt;
}

/* ---- laying the tables out ---- */

struct layout {
    struct buf bytes; /* from ACPI_BASE on */
};

/* Appends a table (header first), with its length and checksum; returns its address. */
static uint32_t add_table(struct layout *layout, const void *data, size_t length)
{
    while (layout->bytes.length % 16)
        buf_add_char(&layout->bytes, 0);
    size_t at = layout->bytes.length;
    buf_add(&layout->bytes, data, length);

    struct table_header *h = (struct table_header *)(void *)(layout->bytes.data + at);
    h->length = (uint32_t)length;
    h->checksum = checksum(h, length);
    return ACPI_BASE + (uint32_t)at;
}

/* A table from its header and the body that `fill` makes. */
static uint32_t add_filled(struct layout *layout, const char *signature, uint8_t revision,
        void (*fill)(struct buf *buf, const struct acpi_config *config),
        const struct acpi_config *config)
{
    _cleanup_buf_ struct buf buf = {0};
    struct table_header h = header(signature, revision);

    buf_add(&buf, &h, sizeof(h));
    fill(&buf, config);
    return add_table(layout, buf.data, buf.length);
}

static uint32_t add_xsdt(struct layout *layout, const uint64_t *tables, size_t size)
{
    _cleanup_buf_ struct buf buf = {0};
    struct table_header h = header("XSDT", 1);

    buf_add(&buf, &h, sizeof(h));
    buf_add(&buf, tables, size);
    return add_table(layout, buf.data, buf.length);
}

static void write_rsdp(struct layout *layout, uint32_t xsdt)
{
    struct rsdp rsdp = {.revision = 2, .length = sizeof(rsdp), .xsdt = xsdt};

    memcpy(rsdp.signature, "RSD PTR ", 8);
    memcpy(rsdp.oem_id, OEM_ID, 6);
    rsdp.checksum = checksum(&rsdp, 20);
    rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
    memcpy(layout->bytes.data, &rsdp, sizeof(rsdp));
}

static void cleanup_layout(struct layout *layout)
{
    buf_free(&layout->bytes);
}

int acpi_write_tables(
        const struct memory *memory, const struct acpi_config *config, struct error *err)
{
    _cleanup_(cleanup_layout) struct layout layout = {{0}};
    const char room[sizeof(struct rsdp)] = {0};

    buf_add(&layout.bytes, room, sizeof(room));
    uint32_t dsdt = add_filled(&layout, "DSDT", 2, fill_dsdt, config);
    struct fadt fadt = make_fadt(dsdt);
    uint64_t tables[2] = {
            add_table(&layout, &fadt, sizeof(fadt)),
            add_filled(&layout, "APIC", 5, fill_madt, config),
    };
    write_rsdp(&layout, add_xsdt(&layout, tables, sizeof(tables)));
    if (layout.bytes.length > ACPI_SIZE - 16 ||
            !memory_write(memory, ACPI_BASE, layout.bytes.data, layout.bytes.length))
        return error_set(err, ENOSPC, "the ACPI tables (%zu bytes) do not fit below 1 MiB",
                layout.bytes.length);
    return 0;
}
