// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * A kernel module that gives the control group `misc` something to count where the processor has
 * nothing: 8 units of "sev". Each open file of /dev/rig-misc holds one, charged to whoever opened
 * it; as for the real ones, EBUSY says that a limit is reached.
 */
#include <linux/fs.h>
#include <linux/misc_cgroup.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#define CAPACITY 8

static int hold(struct inode *inode, struct file *file)
{
    struct misc_cg *group = get_current_misc_cg();
    int r = misc_cg_try_charge(MISC_CG_RES_SEV, group, 1);

    (void)inode;
    if (r)
        put_misc_cg(group);
    else
        file->private_data = group;
    return r;
}

static int give_back(struct inode *inode, struct file *file)
{
    struct misc_cg *group = file->private_data;

    (void)inode;
    misc_cg_uncharge(MISC_CG_RES_SEV, group, 1);
    put_misc_cg(group);
    return 0;
}

static const struct file_operations operations = {
        .owner = THIS_MODULE,
        .open = hold,
        .release = give_back,
};

static struct miscdevice device = {
        .minor = MISC_DYNAMIC_MINOR,
        .name = "rig-misc",
        .mode = 0666,
        .fops = &operations,
};

static int __init begin(void)
{
    int r = misc_cg_set_capacity(MISC_CG_RES_SEV, CAPACITY);

    return r ? r : misc_register(&device);
}

static void __exit end(void)
{
    misc_deregister(&device);
    misc_cg_set_capacity(MISC_CG_RES_SEV, 0);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("something for the control group misc to count, in tests");
MODULE_LICENSE("GPL and additional rights");
