<?php
/* WordPress' settings from the environment; Debian's wp-config.php reads this file. */

function boxfleet_setting($name, $default = '') {
    $file = getenv($name . '_FILE');
    if ($file !== false && $file !== '') {
        return rtrim(file_get_contents($file), "\r\n");
    }
    $value = getenv($name);
    return $value === false || $value === '' ? $default : $value;
}

define('DB_HOST', boxfleet_setting('WORDPRESS_DB_HOST', 'db'));
define('DB_NAME', boxfleet_setting('WORDPRESS_DB_NAME', 'wordpress'));
define('DB_USER', boxfleet_setting('WORDPRESS_DB_USER', 'wordpress'));
define('DB_PASSWORD', boxfleet_setting('WORDPRESS_DB_PASSWORD'));
define('DB_CHARSET', 'utf8mb4');
$table_prefix = boxfleet_setting('WORDPRESS_TABLE_PREFIX', 'wp_');

define('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content');
/* Plug-ins and themes may be installed, since they live in the volume; WordPress itself comes with the image. */
define('FS_METHOD', 'direct');

/* Keys that sign logins, each derived from one secret. */
$boxfleet_secret = boxfleet_setting('WORDPRESS_SECRET', null) ?? file_get_contents('/var/lib/wordpress/secret');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $boxfleet_name) {
    define($boxfleet_name . '_KEY', hash_hmac('sha256', $boxfleet_name . '_KEY', $boxfleet_secret));
    define($boxfleet_name . '_SALT', hash_hmac('sha256', $boxfleet_name . '_SALT', $boxfleet_secret));
}
unset($boxfleet_secret, $boxfleet_name);

$boxfleet_url = boxfleet_setting('WORDPRESS_URL');
if ($boxfleet_url !== '') {
    define('WP_HOME', $boxfleet_url);
    define('WP_SITEURL', $boxfleet_url);
}
/* TLS ends at the proxy. */
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') {
    $_SERVER['HTTPS'] = 'on';
}
